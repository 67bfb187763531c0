package sqlstore

import (
	"strconv"
	"strings"
)

// statements are the SQL texts for a database and a prefix.
type statements struct {
	save, load, remove               string // clicks
	link, linked, unlink, unlinkFrom string // links
	expiredClicks, expiredLinks      expired
	createVersions, version, migrate string
}

// expired are the SQL texts that purge a table.
type expired struct{ first, remove string }

// newStatements returns the SQL texts. Times are passed as Unix seconds and
// converted in SQL, so that they do not depend on the time zone of the driver or
// the session, nor on settings such as parseTime.
func newStatements(d Database, prefix string) statements {
	text := func(query string) string {
		query = strings.NewReplacer(
			"{clicks}", prefix+"clicks",
			"{links}", prefix+"links",
			"{migrations}", prefix+"migrations",
			"{time}", d.time(),
			"{passed}", strings.Replace(d.passed(), "{time}", d.time(), 1),
			"{seconds}", d.seconds("expires_at"),
			"{captured seconds}", d.seconds("captured_at"),
			"{or update}", d.orUpdate("key_hash", "token_hash", "sealed_token", "expires_at"),
		).Replace(query)
		if d == DatabasePostgreSQL {
			query = numbered(query)
		}
		return query
	}
	purge := func(table, key string) expired {
		return expired{
			first: text("SELECT {seconds} FROM " + table +
				" WHERE expires_at >= {time} AND expires_at <= {passed} ORDER BY expires_at LIMIT 1"),
			remove: text(d.removeExpired(table, key)),
		}
	}
	return statements{
		save: text("INSERT INTO {clicks} (token_hash, click_id, param, landing_ip, landing_user_agent, captured_at, expires_at)" +
			" VALUES (?, ?, ?, ?, ?, {time}, {time})"),
		load:   text("SELECT click_id, param, landing_ip, landing_user_agent, {captured seconds}, {seconds} FROM {clicks} WHERE token_hash = ?"),
		remove: text("DELETE FROM {clicks} WHERE token_hash = ?"),

		link: text("INSERT INTO {links} (key_hash, token_hash, sealed_token, expires_at)" +
			" VALUES (?, ?, ?, {time}) {or update}"),
		linked:     text("SELECT sealed_token, {seconds} FROM {links} WHERE key_hash = ?"),
		unlink:     text("DELETE FROM {links} WHERE key_hash = ?"),
		unlinkFrom: text("DELETE FROM {links} WHERE token_hash = ?"),

		expiredClicks: purge("{clicks}", "token_hash"),
		expiredLinks:  purge("{links}", "key_hash"),

		createVersions: text("CREATE TABLE IF NOT EXISTS {migrations} (version INTEGER NOT NULL PRIMARY KEY)"),
		version:        text("SELECT COALESCE(MAX(version), 0) FROM {migrations}"),
		migrate:        text("INSERT INTO {migrations} (version) VALUES (?)"),
	}
}

// time is the column value of a parameter in Unix seconds.
func (d Database) time() string {
	switch d {
	case DatabasePostgreSQL:
		return "to_timestamp(CAST(? AS bigint))"
	case DatabaseMySQL:
		return "TIMESTAMPADD(SECOND, ?, TIMESTAMP'1970-01-01 00:00:00')"
	}
	return "?"
}

// passed is the column value of a parameter in Unix seconds, or the current time of
// the server if that is earlier, so that a machine whose clock is ahead purges
// nothing too early. A SQLite file is on the machine itself.
func (d Database) passed() string {
	switch d {
	case DatabasePostgreSQL:
		return "LEAST({time}, now())"
	case DatabaseMySQL:
		return "LEAST({time}, UTC_TIMESTAMP())"
	}
	return "{time}"
}

// seconds is a time column in Unix seconds.
func (d Database) seconds(column string) string {
	switch d {
	case DatabasePostgreSQL:
		return "CAST(EXTRACT(EPOCH FROM " + column + ") AS bigint)"
	case DatabaseMySQL:
		return "TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', " + column + ")"
	}
	return column
}

// orUpdate completes an INSERT that replaces the row with the same key.
func (d Database) orUpdate(key string, columns ...string) string {
	clause, value := "ON CONFLICT ("+key+") DO UPDATE SET ", func(column string) string { return "EXCLUDED." + column }
	if d == DatabaseMySQL {
		// MariaDB does not have MySQL's newer form, VALUES … AS new.
		clause, value = "ON DUPLICATE KEY UPDATE ", func(column string) string { return "VALUES(" + column + ")" }
	}
	sets := make([]string, len(columns))
	for i, column := range columns {
		sets[i] = column + " = " + value(column)
	}
	return clause + strings.Join(sets, ", ")
}

// removeExpired deletes the rows that expired first between two times, up to a
// number of rows.
func (d Database) removeExpired(table, key string) string {
	const oldest = " WHERE expires_at >= {time} AND expires_at <= {passed} ORDER BY expires_at LIMIT ?"
	switch d {
	case DatabasePostgreSQL:
		// With the array the planner does not join the whole table. Instances
		// that purge at the same time take different rows.
		return "DELETE FROM " + table + " WHERE " + key + " = ANY (ARRAY(SELECT " + key + " FROM " + table + oldest + " FOR UPDATE SKIP LOCKED))"
	case DatabaseMySQL:
		return "DELETE FROM " + table + oldest
	}
	return "DELETE FROM " + table + " WHERE " + key + " IN (SELECT " + key + " FROM " + table + oldest + ")"
}

// numbered replaces the placeholders ? with $1, $2 and so on.
func numbered(query string) string {
	var b strings.Builder
	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}
