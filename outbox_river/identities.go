package riveroutbox

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river/riverdriver"
)

// An order must never wait for a lock of another transaction, and two orders
// that repeat each other's events must not end in a deadlock. A unique index
// makes an insertion wait as long as another transaction with the same key is
// open. So on PostgreSQL the keys are read first, without a lock, and only what
// is unknown is inserted, under an advisory lock that is tried and never waited
// for. A job that another open transaction may be inserting is inserted without a
// unique key. Its delivery claims the key, or finds that it is a duplicate.

// lockBuckets bounds how many advisory locks a transaction takes: PostgreSQL
// has room for a few thousand.
const lockBuckets = 1024

// bucket returns the number of an identity's advisory lock. Two identities may
// share one, which costs a claim and no more.
func bucket(identity string) int {
	return int(crc32.ChecksumIEEE([]byte(identity)) % lockBuckets)
}

// lockClass returns the class of the advisory locks of a schema.
func lockClass(schema string) int32 {
	return int32(crc32.ChecksumIEEE([]byte("clickid outbox " + schema)))
}

// insert stores what is unknown of the records in tx, and returns the stored
// fingerprints of the others by identity.
func (o *Outbox[TTx]) insert(ctx context.Context, tx TTx, records []outbox.Record) (known map[string]string, err error) {
	known = make(map[string]string)
	executor := o.driver.UnwrapExecutor(tx)
	jobs := make([]newJob, 0, min(len(records), pageSize))
	seen := make(map[string]bool, len(records))
	for i, record := range records {
		if !seen[record.Identity] {
			seen[record.Identity] = true
			jobs = append(jobs, newJobOf(record))
		}
<<<<<<< HEAD
		locked = func(r outbox.Record) bool { return buckets[bucket(r.Identity)] }
		if known, err = o.known(ctx, executor, records); err != nil {
			return nil, storing(err)
		}
	}
	var jobs []river.InsertManyParams
	var identities []string
	for _, record := range records {
		// River refuses an insert that has the same key twice.
		if _, ok := known[record.Identity]; ok || slices.Contains(identities, record.Identity) {
			continue
		}
		job, err := newJob(o.queue, record, !locked(record))
		if err != nil {
			return nil, err
		}
		jobs, identities = append(jobs, job), append(identities, record.Identity)
	}
	if len(jobs) == 0 {
		return known, nil
	}
	results, err := o.insertMany(ctx, tx, jobs)
	if err != nil {
		return nil, storing(err)
	}
	for i, result := range results {
		if result.UniqueSkippedAsDuplicate {
			known[identities[i]] = fingerprintOf(result.Job.Metadata)
=======
		if len(jobs) == pageSize || i == len(records)-1 {
			if err := o.insertJobs(ctx, executor, jobs, known); err != nil {
				return nil, fmt.Errorf("riveroutbox: storing events in the outbox (has Migrate run?): %w", err)
			}
			jobs = jobs[:0]
>>>>>>> b095c8c (outbox_river: store and complete events with one statement each)
		}
	}
	return known, nil
}

// insertJobs inserts jobs of different identities with one statement, and adds the
// fingerprints of those that are stored already to known. River's own insertion
// takes four round trips on PostgreSQL, with the locks.
func (o *Outbox[TTx]) insertJobs(ctx context.Context, tx riverdriver.ExecutorTx, jobs []newJob, known map[string]string) error {
	encoded, err := json.Marshal(jobs)
	if err != nil {
		return err
	}
	insert := o.table.insertSQLite
	if o.table.postgres {
		insert = o.table.insertPostgres
	}
	inserted, found, err := insert(ctx, tx, o.queue, string(encoded))
	if err != nil {
		return err
	}
	if inserted+len(found) < len(jobs) {
		// Others have committed meanwhile, or this is SQLite, which does not look.
		if found, err = o.table.known(ctx, tx, jobs); err != nil {
			return err
		}
	}
	for _, job := range jobs {
		if fingerprint, ok := found[job.Key]; ok {
			known[job.Identity] = fingerprint
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

// insertPostgres inserts the jobs that tx does not see yet, and returns how many it
// has inserted, and the fingerprints of the others by key.
//
// In a transaction with a snapshot it takes no locks: there it could not see what
// others have committed since.
func (t jobTable) insertPostgres(ctx context.Context, tx riverdriver.Executor, queue, jobs string) (inserted int, found map[string]string, err error) {
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
			FROM (SELECT DISTINCT bucket FROM unknown) AS buckets
		), inserted AS (
			INSERT INTO `+t.name()+` (args, kind, max_attempts, metadata, queue, unique_key, unique_states)
			SELECT jsonb_build_object('identity', identity), $3::text, $4::smallint, metadata, $5::text,
				CASE WHEN held THEN key END, CASE WHEN held THEN B'11111111' END
			FROM unknown JOIN lock USING (bucket)
			ON CONFLICT DO NOTHING RETURNING 1
		)
		SELECT json_build_object('inserted', (SELECT count(*) FROM inserted),
			'known', (SELECT json_object_agg(encode(unique_key, 'hex'), coalesce(fingerprint, '')) FROM known))::text`,
		jobs, lockClass(t.schema), JobKind, maxAttempts, queue).Scan(&text)
	if err != nil {
		return 0, nil, err
	}
	var result struct {
		Inserted int
		Known    map[string]string
	}
	err = json.Unmarshal([]byte(text), &result)
	return result.Inserted, result.Known, err
}

// insertSQLite inserts the jobs that are unknown, and returns how many these are.
func (t jobTable) insertSQLite(ctx context.Context, tx riverdriver.Executor, queue, jobs string) (inserted int, found map[string]string, err error) {
	err = tx.Exec(ctx, `INSERT INTO river_job (args, kind, max_attempts, metadata, queue, created_at, scheduled_at, unique_key, unique_states)
		SELECT jsonb_object('identity', value ->> '$.identity'), $2, $3, jsonb(value -> '$.metadata'), $4,
			datetime('now', 'subsec'), datetime('now', 'subsec'), unhex(value ->> '$.key'), 255
		FROM json_each($1) WHERE true ON CONFLICT DO NOTHING`, jobs, JobKind, maxAttempts, queue)
	if err == nil {
		err = tx.QueryRow(ctx, "SELECT changes()").Scan(&inserted)
	}
	return inserted, nil, err
}

// waitForLocks takes the locks of identities for a replay, which may wait for
// open transactions. Without them it would have to insert its jobs without a
// unique key. A Send could then store the event again, as a new one whose
// idempotency key the platform has refused before.
func (o *Outbox[TTx]) waitForLocks(ctx context.Context, tx TTx, identities []string) error {
	if o.driver.DatabaseName() != riverdriver.DatabaseNamePostgres {
		return nil
	}
	wanted := make([]string, len(identities))
	for i, identity := range identities {
		wanted[i] = strconv.Itoa(bucket(identity))
	}
	slices.Sort(wanted) // two replays wait for each other in the same order
	return o.driver.UnwrapExecutor(tx).Exec(ctx, `SELECT pg_advisory_xact_lock($1::int, bucket::int)
		FROM unnest(string_to_array($2::text, ',')) AS bucket`, lockClass(o.cfg.Schema), strings.Join(slices.Compact(wanted), ","))
}

// hasKey is the condition of River's unique index.
const hasKey = "unique_key IS NOT NULL AND unique_states IS NOT NULL AND %s.river_job_state_in_bitmask(unique_states, state)"

// known returns the fingerprints of the jobs whose identity is stored, by key, as
// far as tx can see.
func (t jobTable) known(ctx context.Context, tx riverdriver.Executor, jobs []newJob) (map[string]string, error) {
	keys := make([]string, len(jobs))
	for i, job := range jobs {
		keys[i] = job.Key
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	query := `SELECT coalesce(json_group_object(lower(hex(unique_key)), coalesce(metadata ->> '$.` + fingerprintKey + `', '')), '{}')
		FROM river_job WHERE unique_key IN (SELECT unhex(value) FROM json_each($1)) AND unique_states IS NOT NULL`
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

// jobTable is River's table of jobs, for what River's own API cannot do.
type jobTable struct {
	executor riverdriver.Executor
	postgres bool
	schema   string
}

// name is the table's name with its schema.
func (t jobTable) name() string {
	if t.schema == "" {
		return "river_job"
	}
	return `"` + t.schema + `".river_job`
}

func (t jobTable) hasKey() string { return fmt.Sprintf(hasKey, `"`+t.schema+`"`) }

// claim is the result of claiming an identity.
type claim int

const (
	claimDone      claim = iota // the job has the identity now
	claimDuplicate              // another job has it
	claimPending                // an open transaction may be storing it
)

// claim gives the unique key of an identity to a job that was stored without it.
func (t jobTable) claim(ctx context.Context, id int64, identity string) (claim, error) {
	if !t.postgres {
		return claimDone, nil
	}
	tx, err := t.executor.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // without effect after the commit
	var locked bool
	err = tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1::int, $2::int)", lockClass(t.schema), bucket(identity)).Scan(&locked)
	if err != nil || !locked {
		return claimPending, err
	}
	key := hex.EncodeToString(uniqueKey(identity))
	var known bool
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.name()+" WHERE unique_key = decode($1::text, 'hex') AND "+t.hasKey()+")", key).Scan(&known)
	if err != nil {
		return 0, err
	}
	if known {
		return claimDuplicate, nil
	}
	err = tx.Exec(ctx, "UPDATE "+t.name()+" SET unique_key = decode($1::text, 'hex'), unique_states = B'11111111' WHERE id = $2::bigint", key, id)
	if err != nil {
		return 0, err
	}
	return claimDone, tx.Commit(ctx)
}

// release frees the identity of a skipped event.
func (t jobTable) release(ctx context.Context, id int64) error {
	return t.executor.Exec(ctx, "UPDATE "+t.name()+" SET unique_key = NULL WHERE id = $1", id)
}
