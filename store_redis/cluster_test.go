package redisstore_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/outagetest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// visit is a visitor's landing, and its order.
type visit struct {
	id      string
	cookies []*http.Cookie
	order   clickid.Key
}

// land has a number of visitors land and order, so that each node of a cluster has
// some of the clicks and links.
func land(t *testing.T, shop *outagetest.Shop, name string, visitors int) (visits []visit) {
	t.Helper()
	for i := range visitors {
		id := fmt.Sprint(name, "-", i)
		v := visit{id, shop.Lands(t, id), clickid.OrderKey(id)}
		require.NoError(t, shop.Tracker.Link(shop.Visit(v.cookies), v.order))
		visits = append(visits, v)
	}
	return visits
}

// requireFound finds the clicks of visits, and those of their orders.
func requireFound(t *testing.T, shop *outagetest.Shop, visits []visit) {
	t.Helper()
	for _, v := range visits {
		require.Equal(t, v.id, outagetest.ClickOf(shop.Get(t, "/cart", v.cookies...)))
		click, err := shop.Tracker.Linked(ctx, v.order)
		require.NoError(t, err)
		require.Equal(t, v.id, click.ID)
	}
	require.Empty(t, shop.Failures())
}

// TestStore_clusterFailover kills a primary of a cluster, and its replica takes over.
// Clicks of the other primaries are found during the failover.
func TestStore_clusterFailover(t *testing.T) {
	t.Parallel()
	client, nodes := newCluster(t)
	killed := newClient(t, nodes[0].DSN())
	replica := newReplica(t, nodes)

	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, "")})
	before := land(t, shop, "before", 12)
	require.NotZero(t, killed.DBSize(ctx).Val())
	require.NoError(t, shop.Tracker.Link(shop.Visit(before[0].cookies), clickid.OrderKey("42")))
	outagetest.Eventually(t, func() error {
		if replica.DBSize(ctx).Val() != killed.DBSize(ctx).Val() {
			return errors.New("the replica does not have all records")
		}
		return nil
	})

	nodes[0].Kill()
	var during []visit
	found, lost, failures := 0, 0, 0
	for failedOver := false; !failedOver || len(during) == 0; {
		failedOver = contains(replica.Info(ctx, "replication"), "role:master") == nil
		for _, v := range before {
			page := shop.Get(t, "/cart", v.cookies...)
			require.False(t, outagetest.IsAbsent(page), "a click counts as absent")
			if outagetest.ClickOf(page) == v.id {
				found++
			} else {
				lost++
			}
			id := fmt.Sprint("during-", v.id)
			if landing := shop.Get(t, "/?clkid="+id); len(landing.Cookies()) > 0 {
				during = append(during, visit{id: id, cookies: landing.Cookies()})
			} else {
				lost++
			}
			failures += len(shop.Failures())
		}
	}
	require.NotZero(t, found, "clicks of the other primaries")
	require.NotZero(t, lost, "pages without the store")
	require.Equal(t, lost, failures)
	t.Logf("%d clicks found and %d stored during the failover; %d pages without the store", found, len(during), lost)

	for _, node := range nodes[1:] { // they do not notice the failover at the same moment
		outagetest.Eventually(t, func() error {
			return contains(newClient(t, node.DSN()).ClusterInfo(ctx), "cluster_slots_ok:16384")
		})
	}
	for _, v := range append(before, during...) {
		outagetest.Eventually(t, func() error {
			if outagetest.ClickOf(shop.Get(t, "/cart", v.cookies...)) != v.id {
				return errors.Join(append(shop.Failures(), errors.New("a click from before the failover is not found"))...)
			}
			return nil
		})
	}
	shop.Recovers(t, before[0].cookies, before[0].id)
	shop.Failures()
	requireFound(t, shop, before)
	stored := replica.DBSize(ctx).Val()
	requireFound(t, shop, land(t, shop, "after", 12))
	require.Greater(t, replica.DBSize(ctx).Val(), stored)
}

// newReplica adds a replica of the first primary to a cluster.
func newReplica(t *testing.T, nodes []*testserver.Server) (replica *redis.Client) {
	t.Helper()
	primary := newClient(t, nodes[0].DSN())
	server := testserver.StartRedisNode(t)
	replica = newClient(t, server.DSN())
	meet(t, primary, server)
	id := nodeID(t, primary)
	outagetest.Eventually(t, func() error { return replica.ClusterReplicate(ctx, id).Err() })
	for _, node := range append(nodes, server) {
		node := newClient(t, node.DSN())
		require.NoError(t, node.ConfigSet(ctx, "cluster-node-timeout", "3000").Err())
		require.NoError(t, node.ConfigSet(ctx, "cluster-require-full-coverage", "no").Err())
		outagetest.Eventually(t, func() error { // the others vote for a replica that they know
			return contains(node.ClusterNodes(ctx), "slave "+id)
		})
	}
	outagetest.Eventually(t, func() error { return contains(replica.Info(ctx, "replication"), "master_link_status:up") })
	return replica
}

// TestStore_clusterSwitchover has a replica of a cluster take over from its primary,
// as for maintenance, while visitors land.
func TestStore_clusterSwitchover(t *testing.T) {
	t.Parallel()
	client, nodes := newCluster(t)
	replica := newReplica(t, nodes)
	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, ""), StoreTimeout: time.Minute})
	visits := land(t, shop, "before", 12)
	require.NoError(t, replica.Do(ctx, "CLUSTER", "FAILOVER").Err())
	for round := 0; contains(replica.Info(ctx, "replication"), "role:master") != nil || round < 2; round++ {
		visits = append(visits, land(t, shop, fmt.Sprint("during-", round), 12)...)
		requireFound(t, shop, visits[len(visits)-12:])
	}
	outagetest.Eventually(t, func() error { return contains(newClient(t, nodes[0].DSN()).Info(ctx, "replication"), "role:slave") })
	visits = append(visits, land(t, shop, "after", 12)...)
	requireFound(t, shop, visits)
}

// contains returns an error unless the response of a server contains text.
func contains(response *redis.StringCmd, text string) error {
	got, err := response.Result()
	if err == nil && !strings.Contains(got, text) {
		err = fmt.Errorf("%q is not in %s", text, got)
	}
	return err
}

func nodeID(t *testing.T, node *redis.Client) string {
	t.Helper()
	id, err := node.Do(ctx, "CLUSTER", "MYID").Text()
	require.NoError(t, err)
	return id
}

// TestStore_resharding moves the slots of a primary to another while the shop is
// open: first the state of all slots, then the records, then the ownership.
func TestStore_resharding(t *testing.T) {
	t.Parallel()
	client, nodes := newCluster(t)
	from, to := newClient(t, nodes[0].DSN()), newClient(t, nodes[1].DSN())
	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, ""), StoreTimeout: time.Minute})
	before, forgotten := land(t, shop, "before", 20), land(t, shop, "forgotten", 10)
	for range 10 { // without a link
		forgotten = append(forgotten, visit{cookies: shop.Lands(t, "forgotten")})
	}
	require.NotZero(t, from.DBSize(ctx).Val())

	const first, last = 0, 16384/3 - 1 // of the slots of nodes[0]
	eachSlot := func(node *redis.Client, state string, args ...any) {
		t.Helper()
		_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
			for slot := first; slot <= last; slot++ {
				p.Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot, state}, args...)...)
			}
			return nil
		})
		require.NoError(t, err)
	}
	eachSlot(to, "IMPORTING", nodeID(t, from))
	eachSlot(from, "MIGRATING", nodeID(t, to))
	requireFound(t, shop, before)
	// A new record of these slots is stored on the other primary (ASK).
	stored := to.DBSize(ctx).Val()
	before = append(before, land(t, shop, "migrating", 20)...)
	require.Greater(t, to.DBSize(ctx).Val(), stored)
	requireFound(t, shop, before)

	for _, v := range forgotten {
		require.NoError(t, shop.Tracker.ForgetToken(ctx, v.cookies[0].Value))
		require.Empty(t, outagetest.ClickOf(shop.Get(t, "/cart", v.cookies...)))
	}

	records := keysBelow(t, from, "")
	slices.Sort(records) // clicks before links: for a time they are on different servers
	host, port, err := net.SplitHostPort(nodes[1].Addr())
	require.NoError(t, err)
	for _, record := range records {
		require.NoError(t, from.Migrate(ctx, host, port, record, 0, time.Minute).Err())
		if record == records[len(records)/2] {
			requireFound(t, shop, before)
		}
	}
	require.Zero(t, from.DBSize(ctx).Val())
	requireFound(t, shop, before)

	for _, node := range nodes {
		eachSlot(newClient(t, node.DSN()), "NODE", nodeID(t, to))
	}
	requireFound(t, shop, before) // the client does not know it yet (MOVED)
	requireFound(t, shop, land(t, shop, "after", 20))
	require.Zero(t, from.DBSize(ctx).Val())
	for _, v := range before {
		require.NoError(t, shop.Tracker.ForgetKey(ctx, v.order))
		_, err := shop.Tracker.Linked(ctx, v.order)
		require.ErrorIs(t, err, clickid.ErrNotFound)
	}
}
