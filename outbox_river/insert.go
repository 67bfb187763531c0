package riveroutbox

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river/riverdriver"
)

// newRow is a job to insert, in the JSON that the INSERT reads.
type newRow struct {
	Identity string      `json:"identity"`
	Key      string      `json:"key"` // in hexadecimal
	Bucket   int         `json:"bucket"`
	Metadata newMetadata `json:"metadata"`
}

// insertRows stores the records whose identity is unknown in tx, and returns the
// stored fingerprints of the others by identity. It takes one statement, and
// insertWithHooks five.
func (o *Outbox[TTx]) insertRows(ctx context.Context, tx riverdriver.ExecutorTx, records []outbox.Record) (known map[string]string, err error) {
	known = make(map[string]string)
	rows := make([]newRow, 0, min(len(records), pageSize))
	seen := make(map[string]bool, len(records))
	for i, record := range records {
		if !seen[record.Identity] {
			seen[record.Identity] = true
			rows = append(rows, newRow{
				Identity: record.Identity, Key: hex.EncodeToString(uniqueKey(record.Identity)),
				Bucket: bucket(record.Identity), Metadata: metadataOf(record),
			})
		}
		if len(rows) == pageSize || i == len(records)-1 {
			if err := o.insertPage(ctx, tx, rows, known); err != nil {
				return nil, storing(err)
			}
			rows = rows[:0]
		}
	}
	return known, nil
}

// insertPage inserts jobs of different identities, and adds the fingerprints of
// those that are stored already to known.
func (o *Outbox[TTx]) insertPage(ctx context.Context, tx riverdriver.ExecutorTx, rows []newRow, known map[string]string) error {
	if len(rows) == 0 {
		return nil
	}
	insert := o.insertSQLite
	if o.table.postgres {
		insert = o.insertPostgres
	}
	notice, restore := o.notice()
	inserted, found, err := insert(ctx, tx, rows, notice)
	if err != nil || inserted == 0 {
		restore()
	}
	for _, row := range rows {
		if fingerprint, ok := found[row.Key]; ok {
			known[row.Identity] = fingerprint
		}
	}
	return err
}

// insertTopic is the topic with which River wakes its clients.
const insertTopic = "river_insert"

// notice returns the notification with which an insertion wakes the instances that
// deliver, or "". As in River, the insertions of the next few milliseconds have
// none: PostgreSQL commits transactions that notify one at a time. The [repeater]
// finds those that commit soon, and the next poll the others. restore makes the next
// insertion notify, if this one has not.
func (o *Outbox[TTx]) notice() (payload string, restore func()) {
	last, now := o.notified.Load(), time.Now().UnixNano()
	if now-last < int64(fetchCooldown) || !o.notified.CompareAndSwap(last, now) {
		return "", func() {}
	}
	return `{"queue": "` + o.queue + `"}`, func() { o.notified.CompareAndSwap(now, last) }
}

// insertAttempts bounds how often an insertion begins again because another
// transaction has stored an identity and then freed it.
const insertAttempts = 10

var errUnsettled = errors.New("other transactions store and remove the same event again and again")

// insertPostgres inserts the rows that tx does not see yet and notifies with the
// notice, and returns how many it has inserted, and the fingerprints of the others
// by key.
func (o *Outbox[TTx]) insertPostgres(ctx context.Context, tx riverdriver.ExecutorTx, rows []newRow, notice string) (inserted int, found map[string]string, err error) {
	for range insertAttempts {
		stored, err := o.insertUnknown(ctx, tx, rows, notice)
		if err != nil {
			return 0, nil, err
		}
		if inserted += len(stored); len(stored) == len(rows) {
			return inserted, found, nil
		}
		isStored := make(map[string]bool, len(stored))
		for _, identity := range stored {
			isStored[identity] = true
		}
		rest := slices.DeleteFunc(slices.Clone(rows), func(r newRow) bool { return isStored[r.Identity] })
		// They were known when the statement began, or others have committed since.
		more, err := o.table.fingerprints(ctx, tx, rest)
		if err != nil {
			return 0, nil, err
		}
		if found == nil {
			found = more
		}
		maps.Copy(found, more)
		rows = slices.DeleteFunc(rest, func(r newRow) bool { _, ok := found[r.Key]; return ok })
		if len(rows) == 0 {
			return inserted, found, nil
		}
	}
	return 0, nil, errUnsettled
}

// insertUnknown inserts the rows that tx does not see yet, and returns their
// identities. An insertion notifies with the notice, if there is one.
//
// It tries the locks of unknown jobs only. In a transaction with a snapshot it
// takes none: there it could not see the later commits of others.
func (o *Outbox[TTx]) insertUnknown(ctx context.Context, tx riverdriver.ExecutorTx, rows []newRow, notice string) (stored []string, err error) {
	t := o.table
	insert := func(from string) string {
		return `INSERT INTO ` + t.name() + ` (args, kind, max_attempts, metadata, queue, unique_key, unique_states)
			SELECT jsonb_build_object('identity', identity), '` + JobKind + `', ` + strconv.Itoa(maxAttempts) + `, metadata, '` + o.queue + `',
				CASE WHEN held THEN decode(key, 'hex') END, CASE WHEN held THEN B'11111111' END
			FROM (
				SELECT identity, key, metadata, CASE WHEN current_setting('transaction_isolation') = 'read committed'
					THEN pg_try_advisory_xact_lock(` + strconv.Itoa(int(lockClass(t.schema))) + `, bucket) ELSE false END AS held
				FROM ` + from + ` AS job WHERE NOT EXISTS (
					SELECT FROM ` + t.name() + ` WHERE unique_key = decode(key, 'hex') AND ` + t.hasKey() + ` OFFSET 0
				)
			) AS unknown ON CONFLICT DO NOTHING`
	}
	notify := `pg_notify('` + t.schema + `.` + insertTopic + `', $1::text)::text`
	if len(rows) == 1 {
		// An order stores one event. Without a list in JSON this takes a fifth less time.
		row := rows[0]
		metadata, err := json.Marshal(row.Metadata)
		if err != nil {
			return nil, err
		}
		var ignored string
		err = tx.QueryRow(ctx, insert(`(SELECT $2::text AS identity, $3::text AS key, $4::int AS bucket, $5::text::jsonb AS metadata)`)+`
			RETURNING CASE WHEN $1::text <> '' THEN `+notify+` ELSE '' END`,
			notice, row.Identity, row.Key, row.Bucket, string(metadata)).Scan(&ignored)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		return []string{row.Identity}, err
	}
	jobs, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	var text, ignored string
	err = tx.QueryRow(ctx, `WITH inserted AS (
			`+insert(`(SELECT * FROM jsonb_to_recordset($2::text::jsonb) AS job (identity text, key text, bucket int, metadata jsonb))`)+`
			RETURNING args ->> 'identity' AS identity
		)
		SELECT coalesce(json_agg(identity)::text, '[]'), CASE WHEN $1::text <> '' AND count(*) > 0 THEN `+notify+` ELSE '' END FROM inserted`,
		notice, string(jobs)).Scan(&text, &ignored)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal([]byte(text), &stored)
	return stored, err
}

// fingerprints returns the fingerprints of the jobs whose identity is stored, by key, as
// far as tx can see.
func (t jobTable) fingerprints(ctx context.Context, tx riverdriver.Executor, rows []newRow) (map[string]string, error) {
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = row.Key
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	query := `SELECT coalesce(json_group_object(lower(hex(unique_key)), coalesce(metadata ->> '$.` + fingerprintKey + `', '')), '{}')
		FROM river_job WHERE unique_key IN (SELECT unhex(value) FROM json_each($1)) AND ` + t.hasKey()
	if t.postgres {
		query = `SELECT coalesce(json_object_agg(encode(unique_key, 'hex'), coalesce(metadata ->> '` + fingerprintKey + `', ''))::text, '{}')
			FROM ` + t.name() + ` WHERE unique_key = ANY (ARRAY(SELECT decode(key, 'hex') FROM json_array_elements_text($1::text::json) AS key)) AND ` + t.hasKey()
	}
	var text string
	if err := tx.QueryRow(ctx, query, string(list)).Scan(&text); err != nil {
		return nil, err
	}
	var found map[string]string
	err = json.Unmarshal([]byte(text), &found)
	return found, err
}
