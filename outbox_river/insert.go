package riveroutbox

import (
	"context"
	"encoding/hex"
	"encoding/json"
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

// insertRows stores what is unknown of the records in tx, and returns the stored
// fingerprints of the others by identity. It is insertWithHooks in one statement,
// where that takes five.
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
	inserted, found, err := insert(ctx, tx, rows)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if fingerprint, ok := found[row.Key]; ok {
			known[row.Identity] = fingerprint
		}
	}
	if inserted == 0 || !o.notifies() {
		return nil
	}
	return tx.NotifyMany(ctx, &riverdriver.NotifyManyParams{
		Payload: []string{`{"queue": "` + o.queue + `"}`},
		Schema:  o.cfg.Schema,
		Topic:   insertTopic,
	})
}

// insertTopic is the topic with which River wakes its clients.
const insertTopic = "river_insert"

// notifies reports whether an insertion wakes the instances that deliver. As in
// River, the others of the next few milliseconds do not: PostgreSQL commits
// transactions that notify one at a time.
func (o *Outbox[TTx]) notifies() bool {
	now := time.Now().UnixNano()
	last := o.notified.Load()
	return now-last >= int64(fetchCooldown) && o.notified.CompareAndSwap(last, now)
}

// insertPostgres inserts the rows that tx does not see yet, and returns how many it
// has inserted, and the fingerprints of the others by key.
//
// It takes the locks of known jobs as well, for which a replay waits. In a
// transaction with a snapshot it takes none: there it could not see what others
// have committed since.
func (o *Outbox[TTx]) insertPostgres(ctx context.Context, tx riverdriver.ExecutorTx, rows []newRow) (inserted int, found map[string]string, err error) {
	jobs, err := json.Marshal(rows)
	if err != nil {
		return 0, nil, err
	}
	t := o.table
	var text string
	err = tx.QueryRow(ctx, `WITH job AS (
			SELECT identity, decode(key, 'hex') AS key, bucket, metadata
			FROM json_to_recordset($1::text::json) AS job (identity text, key text, bucket int, metadata jsonb)
		), known AS (
			SELECT unique_key, metadata ->> '`+fingerprintKey+`' AS fingerprint FROM `+t.name()+`
			WHERE unique_key = ANY (ARRAY(SELECT key FROM job)) AND `+t.hasKey()+`
		), unknown AS (
			SELECT * FROM job WHERE key <> ALL (ARRAY(SELECT unique_key FROM known))
		), lock AS (
			SELECT bucket, CASE WHEN current_setting('transaction_isolation') = 'read committed'
				THEN pg_try_advisory_xact_lock($2::int, bucket) ELSE false END AS held
			FROM (SELECT DISTINCT bucket FROM job) AS buckets
		), inserted AS (
			INSERT INTO `+t.name()+` (args, kind, max_attempts, metadata, queue, unique_key, unique_states)
			SELECT jsonb_build_object('identity', identity), $3::text, $4::smallint, metadata, $5::text,
				CASE WHEN held THEN key END, CASE WHEN held THEN B'11111111' END
			FROM unknown JOIN lock USING (bucket)
			ON CONFLICT DO NOTHING RETURNING unique_key
		), count AS (
			SELECT (SELECT count(*) FROM inserted) AS inserted, (SELECT count(*) FROM unknown) AS unknown
		)
		SELECT json_build_object('inserted', inserted, 'locks', (SELECT count(*) FROM lock WHERE held),
			'keys', CASE WHEN inserted < unknown THEN (SELECT json_agg(encode(unique_key, 'hex')) FROM inserted WHERE unique_key IS NOT NULL) END,
			'known', (SELECT json_object_agg(encode(unique_key, 'hex'), coalesce(fingerprint, '')) FROM known))::text FROM count`,
		string(jobs), lockClass(t.schema), JobKind, maxAttempts, o.queue).Scan(&text)
	if err != nil {
		return 0, nil, err
	}
	var result struct {
		Inserted int
		Keys     []string
		Known    map[string]string
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return 0, nil, err
	}
	found = result.Known
	if result.Inserted+len(found) < len(rows) {
		// Other transactions have committed since the statement began.
		if found, err = t.fingerprints(ctx, tx, rows); err != nil {
			return 0, nil, err
		}
		for _, key := range result.Keys {
			delete(found, key)
		}
	}
	return result.Inserted, found, nil
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
