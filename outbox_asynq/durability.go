package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// ErrVolatile means that the Redis server may lose events that it has
// acknowledged; see [Config].AcceptLoss.
var ErrVolatile = errors.New("asynqoutbox: Redis may lose acknowledged events")

// checkDurability checks the persistence of every server that accepts writes.
func (o *Outbox) checkDurability(ctx context.Context) error {
	if o.cfg.AcceptLoss {
		return nil
	}
	cluster, ok := o.cfg.Redis.(*redis.ClusterClient)
	if !ok {
		return o.checkNode(ctx, o.cfg.Redis)
	}
	var mu sync.Mutex
	problems := make(map[string]error) // the nodes' problems are often the same
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := o.checkNode(ctx, node); err != nil {
			mu.Lock()
			defer mu.Unlock()
			problems[err.Error()] = err
		}
		return nil
	})
	all := []error{err}
	for _, problem := range problems {
		all = append(all, problem)
	}
	return errors.Join(all...)
}

// infoer is a server or a client of one.
type infoer interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
}

// checkNode refuses a server that would lose what it acknowledges.
func (o *Outbox) checkNode(ctx context.Context, node infoer) error {
	info, err := serverInfo(ctx, node)
	if err != nil {
		return err
	}
	var problems []error
	if infoField(info, "aof_enabled") == "0" {
		problems = append(problems, fmt.Errorf("%w in a restart; set appendonly to yes, or AcceptLoss", ErrVolatile))
	}
	if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != "noeviction" {
		problems = append(problems, fmt.Errorf("%w when its memory is full; set maxmemory-policy to noeviction, or AcceptLoss", ErrVolatile))
	}
	if n := infoField(info, "connected_slaves"); n != "" && n != "0" && o.cfg.WaitReplicas == 0 {
		problems = append(problems, fmt.Errorf("%w: it has replicas, and a failover loses what they do not have yet; set WaitReplicas, or AcceptLoss", ErrVolatile))
	}
	return errors.Join(problems...)
}

// serverInfo returns the result of INFO.
func serverInfo(ctx context.Context, node infoer) (string, error) {
	info, err := node.Info(ctx, "server", "persistence", "memory", "replication").Result()
	if err != nil {
		// Redis before 7 takes one section at a time.
		if info, err = node.Info(ctx, "all").Result(); err != nil {
			return "", fmt.Errorf("asynqoutbox: Redis did not tell how it keeps its data: %w", err)
		}
	}
	return info, nil
}

// infoField returns a field of the response to INFO, or "".
func infoField(info, name string) string {
	for _, line := range strings.Split(info, "\n") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// primary returns a client of the server that has the queue, or nil for another
// kind of client.
func (o *Outbox) primary(ctx context.Context) (*redis.Client, error) {
	switch c := o.cfg.Redis.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, o.live.server())
	}
	return nil, nil
}

// beforeWrites returns the replication ID of the server for confirm, or "" if
// WaitReplicas is not set.
func (o *Outbox) beforeWrites(ctx context.Context) (replicationID string, err error) {
	if o.cfg.WaitReplicas == 0 {
		return "", nil
	}
	node, err := o.primary(ctx)
	if err == nil {
		replicationID, err = readReplicationID(ctx, node)
	}
	if err != nil {
		return "", fmt.Errorf("asynqoutbox: Redis could not take the event: %w", err)
	}
	return replicationID, nil
}

func readReplicationID(ctx context.Context, node infoer) (string, error) {
	info, err := node.Info(ctx, "replication").Result()
	return infoField(info, "master_replid"), err
}

// confirm waits until the replicas have the writes, if WaitReplicas is set. WAIT
// counts the writes of its own connection; a write on it comes after all earlier
// ones of the same server. If a replica has taken over since beforeWrites, it may
// not have the writes, and its own replicas confirm only its own writes.
func (o *Outbox) confirm(ctx context.Context, before string) error {
	if o.cfg.WaitReplicas == 0 {
		return nil
	}
	n, after, err := o.waitForReplicas(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("asynqoutbox: Redis could not confirm the event: %w", err)
	case after != before:
		return errors.New("asynqoutbox: another Redis server took over while the event was stored; it may be stored all the same")
	case n < o.cfg.WaitReplicas:
		return fmt.Errorf("asynqoutbox: %d of %d replicas have confirmed the event in time; it may be stored all the same", n, o.cfg.WaitReplicas)
	}
	return nil
}

// waitForReplicas returns how many replicas have all earlier writes of the server
// with the replication ID.
func (o *Outbox) waitForReplicas(ctx context.Context) (replicas int, replicationID string, err error) {
	node, err := o.primary(ctx)
	if err != nil {
		return 0, "", err
	}
	conn := node.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Incr(ctx, o.live.own("confirmed")).Err(); err != nil {
		return 0, "", err
	}
	n, err := conn.Wait(ctx, o.cfg.WaitReplicas, max(timeLeft(ctx)/2, 1)).Result()
	if err != nil {
		return 0, "", err
	}
	replicationID, err = readReplicationID(ctx, conn)
	return int(n), replicationID, err
}

// checkServer raises an alert when the server was restarted or replaced since the
// last look: it may have lost events that it had acknowledged.
func (o *Outbox) checkServer(ctx context.Context) error {
	node, err := o.primary(ctx)
	if err != nil || node == nil {
		return err
	}
	info, err := serverInfo(ctx, node)
	if err != nil {
		return err
	}
	id := infoField(info, "master_replid")
	if id == "" {
		return nil
	}
	o.mu.Lock()
	before := o.serverID
	o.serverID = id
	o.mu.Unlock()
	if before == "" {
		// The note of an earlier process, as far as it was not lost as well.
		before, _ = node.Get(ctx, o.live.server()).Result()
	}
	if before == id {
		return nil
	}
	if before != "" {
		o.delivery.Observe(ctx, outbox.Observation{
			Kind:   outbox.KindStorageReplaced,
			Reason: "the replication ID of Redis has changed: it was restarted, or a replica took over; compare the latest orders with what was delivered",
		})
	}
	return node.Set(ctx, o.live.server(), id, 0).Err()
}
