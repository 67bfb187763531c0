package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/clickid/clickid"
)

// product is a product of the shop.
type product struct {
	ID, Name, Brand, Text string
	Price                 string // in EUR
}

// catalogue has the shop's products.
var catalogue = []product{
	{ID: "trail-shoe", Name: "Trail shoe", Brand: "Nordfell", Text: "Light, grippy, and dry by the evening.", Price: "149.99"},
	{ID: "rain-jacket", Name: "Rain jacket", Brand: "Nordfell", Text: "Keeps the water out and lets the steam go.", Price: "89.00"},
	{ID: "bottle", Name: "Water bottle", Brand: "Quelle", Text: "Steel, 0.75 litres, no leaks.", Price: "19.50"},
}

const currency = "EUR"

func findProduct(id string) (product, bool) {
	for _, p := range catalogue {
		if p.ID == id {
			return p, true
		}
	}
	return product{}, false
}

// order is one row of the shop's orders.
type order struct {
	Number     int64
	Product    product
	Placed     time.Time
	Paid       bool
	Conversion string // the verdict, as Verdict.String returns it
}

// EventID returns the conversion's ID. It derives from the order's number, so
// that it stays the same when the order is reported again.
func (o order) EventID() string { return "order-" + strconv.FormatInt(o.Number, 10) }

// event returns the order as a conversion.
func (o order) event() clickid.Event {
	return clickid.Event{
		Type:    clickid.Purchase,
		ID:      o.EventID(),
		Time:    o.Placed,
		Value:   clickid.Decimal(o.Product.Price, currency),
		Source:  clickid.SourceWebsite,
		PageURL: "https://shop.example/checkout",
		Items: []clickid.Item{{
			ID:       o.Product.ID,
			Name:     o.Product.Name,
			Brand:    o.Product.Brand,
			Quantity: 1,
			Price:    clickid.Decimal(o.Product.Price, currency),
		}},
	}
}

// executor is a database or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const ordersSchema = `
CREATE TABLE IF NOT EXISTS orders (
	number     INTEGER PRIMARY KEY AUTOINCREMENT,
	product    TEXT    NOT NULL,
	placed     INTEGER NOT NULL, -- Unix seconds
	paid       INTEGER NOT NULL,
	conversion TEXT    NOT NULL
)`

// insertOrder stores a new, unpaid order and returns it with its number.
func insertOrder(ctx context.Context, db executor, p product) (order, error) {
	o := order{Product: p, Placed: time.Now().UTC().Truncate(time.Second)}
	result, err := db.ExecContext(ctx,
		`INSERT INTO orders (product, placed, paid, conversion) VALUES (?, ?, 0, '')`,
		p.ID, o.Placed.Unix())
	if err != nil {
		return order{}, fmt.Errorf("storing the order: %w", err)
	}
	if o.Number, err = result.LastInsertId(); err != nil {
		return order{}, fmt.Errorf("storing the order: %w", err)
	}
	return o, nil
}

var errNoOrder = errors.New("the shop has no such order")

func findOrder(ctx context.Context, db executor, number string) (order, error) {
	var (
		o       order
		product string
		placed  int64
	)
	row := db.QueryRowContext(ctx, `SELECT number, product, placed, paid, conversion FROM orders WHERE number = ?`, number)
	if err := row.Scan(&o.Number, &product, &placed, &o.Paid, &o.Conversion); errors.Is(err, sql.ErrNoRows) {
		return order{}, errNoOrder
	} else if err != nil {
		return order{}, fmt.Errorf("reading the order: %w", err)
	}
	o.Product, _ = findProduct(product)
	o.Placed = time.Unix(placed, 0).UTC()
	return o, nil
}

// completeOrder records that the order is paid, and the verdict of its
// conversion.
func completeOrder(ctx context.Context, db executor, o order) error {
	_, err := db.ExecContext(ctx, `UPDATE orders SET paid = 1, conversion = ? WHERE number = ?`, o.Conversion, o.Number)
	if err != nil {
		return fmt.Errorf("completing the order: %w", err)
	}
	return nil
}
