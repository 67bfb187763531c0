package riveroutbox

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
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
	switch {
	case len(records) == 0:
		return nil, nil
	case len(o.cfg.Hooks)+len(o.cfg.Middleware) > 0:
		return o.insertWithHooks(ctx, tx, records)
	}
	return o.insertRows(ctx, o.driver.UnwrapExecutor(tx), records)
}

// insertWithHooks is insert through River's client, which calls the hooks and
// middleware of the application.
func (o *Outbox[TTx]) insertWithHooks(ctx context.Context, tx TTx, records []outbox.Record) (known map[string]string, err error) {
	known = make(map[string]string)
	locked := func(outbox.Record) bool { return true }
	if o.driver.DatabaseName() == riverdriver.DatabaseNamePostgres {
		executor := o.driver.UnwrapExecutor(tx)
		buckets, err := o.tryLocks(ctx, executor, records)
		if err != nil {
			return nil, storing(err)
		}
		locked = func(r outbox.Record) bool { return buckets[strconv.Itoa(bucket(r.Identity))] }
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
		}
	}
	return known, nil
}

func storing(err error) error {
	return fmt.Errorf("riveroutbox: storing events in the outbox (has Migrate run?): %w", err)
}

// tryLocks returns the buckets whose locks tx holds until it ends. In a
// transaction with a snapshot it takes none: there it could not see what others
// have committed since.
func (o *Outbox[TTx]) tryLocks(ctx context.Context, tx riverdriver.ExecutorTx, records []outbox.Record) (map[string]bool, error) {
	var wanted []string
	for _, record := range records {
		wanted = append(wanted, strconv.Itoa(bucket(record.Identity)))
	}
	slices.Sort(wanted)
	var got string
	err := tx.QueryRow(ctx, `SELECT coalesce(string_agg(bucket, ',') FILTER (WHERE pg_try_advisory_xact_lock($1::int, bucket::int)), '')
		FROM unnest(string_to_array($2::text, ',')) AS bucket
		WHERE current_setting('transaction_isolation') = 'read committed'`,
		lockClass(o.cfg.Schema), strings.Join(slices.Compact(wanted), ",")).Scan(&got)
	if err != nil {
		return nil, err
	}
	buckets := make(map[string]bool)
	for _, b := range strings.Split(got, ",") {
		buckets[b] = true
	}
	return buckets, nil
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

// known returns the fingerprints of the records that are stored already, as far
// as tx can see.
func (o *Outbox[TTx]) known(ctx context.Context, tx riverdriver.ExecutorTx, records []outbox.Record) (map[string]string, error) {
	identities := make(map[string]string, len(records)) // by unique key
	keys := make([]string, len(records))
	for i, record := range records {
		keys[i] = hex.EncodeToString(uniqueKey(record.Identity))
		identities[keys[i]] = record.Identity
	}
	var found string
	err := tx.QueryRow(ctx, `SELECT coalesce(json_object_agg(encode(unique_key, 'hex'), coalesce(metadata ->> '`+fingerprintKey+`', ''))::text, '{}')
		FROM `+o.table.name()+`
		WHERE unique_key IN (SELECT decode(key, 'hex') FROM unnest(string_to_array($1::text, ',')) AS key) AND `+o.table.hasKey(),
		strings.Join(keys, ",")).Scan(&found)
	if err != nil {
		return nil, err
	}
	var fingerprints map[string]string
	if err := json.Unmarshal([]byte(found), &fingerprints); err != nil {
		return nil, err
	}
	known := make(map[string]string, len(fingerprints))
	for key, fingerprint := range fingerprints {
		known[identities[key]] = fingerprint
	}
	return known, nil
}

// fingerprintOf returns the fingerprint in a job's metadata, or "".
func fingerprintOf(metadata []byte) string {
	var m map[string]json.RawMessage
	var fingerprint string
	if json.Unmarshal(metadata, &m) == nil {
		_ = json.Unmarshal(m[fingerprintKey], &fingerprint)
	}
	return fingerprint
}

// jobTable is River's table of jobs, for what River's own API cannot do.
type jobTable struct {
	executor riverdriver.Executor
	postgres bool
	schema   string
}

// name is the table's name with its schema.
func (t jobTable) name() string { return t.of("river_job") }

// of is the name of a table of River with its schema.
func (t jobTable) of(table string) string {
	if t.schema == "" {
		return table
	}
	return `"` + t.schema + `".` + table
}

// hasKey is the condition of River's unique index, which both databases must find
// in a statement to use it.
func (t jobTable) hasKey() string {
	const both = "unique_key IS NOT NULL AND unique_states IS NOT NULL AND "
	if t.postgres {
		return both + `"` + t.schema + `".river_job_state_in_bitmask(unique_states, state)`
	}
	cases := ""
	for bit, state := range []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStateCancelled, rivertype.JobStateCompleted, rivertype.JobStateDiscarded,
		rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	} {
		cases += fmt.Sprintf(" WHEN '%s' THEN unique_states & (1 << %d)", state, bit)
	}
	return both + "CASE state" + cases + " ELSE 0 END >= 1"
}

// claim is the result of claiming an identity.
type claim int

const (
	claimDone      claim = iota // the job has the identity now
	claimDuplicate              // another job has it
	claimPending                // an open transaction may be storing it, or the event has ended
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
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.name()+" WHERE unique_key = decode($1::text, 'hex') AND "+t.hasKey()+
		" AND id <> $2::bigint)", key, id).Scan(&known)
	if err != nil {
		return 0, err
	}
	if known {
		return claimDuplicate, nil
	}
	err = tx.QueryRow(ctx, "UPDATE "+t.name()+" SET unique_key = decode($1::text, 'hex'), unique_states = B'11111111'"+
		" WHERE id = $2::bigint AND "+t.hasRecord()+" RETURNING id", key, id).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows): // another instance has delivered, skipped or erased it
		return claimPending, nil
	case err != nil:
		return 0, err
	}
	return claimDone, tx.Commit(ctx)
}

// release frees the identities of skipped or erased events, except those that another
// instance has delivered.
func (t jobTable) release(ctx context.Context, executor riverdriver.Executor, ids ...string) error {
	return executor.Exec(ctx, "UPDATE "+t.name()+" SET unique_key = NULL WHERE "+t.listed()+" AND NOT ("+isEnded+")", strings.Join(ids, ","))
}

// hasRecord is the condition for running jobs whose event was neither delivered,
// skipped nor erased.
func (t jobTable) hasRecord() string {
	if t.postgres {
		return "state = 'running' AND jsonb_typeof(metadata -> '" + recordKey + "') <> 'null'"
	}
	return "state = 'running' AND json_type(metadata, '$." + recordKey + "') <> 'null'"
}

// eraseRecord removes the record of a running job and frees its identity, and
// reports whether there was one.
func (t jobTable) eraseRecord(ctx context.Context, id int64) (found bool, err error) {
	metadata := "jsonb_set(metadata, '$." + recordKey + "', json('null'))"
	if t.postgres {
		metadata = `metadata || '{"` + recordKey + `":null}'`
	}
	err = t.executor.QueryRow(ctx, "UPDATE "+t.name()+" SET metadata = "+metadata+", unique_key = NULL"+
		" WHERE id = $1 AND "+t.hasRecord()+" RETURNING id", id).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
