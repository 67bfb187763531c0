// Package schema is the schema of the shop that uses ent.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
)

// Order is an order of the shop.
type Order struct{ ent.Schema }

// Annotations names the table.
func (Order) Annotations() []schema.Annotation { return []schema.Annotation{entsql.Table("orders")} }

// Fields are the columns of the table.
func (Order) Fields() []ent.Field {
	return []ent.Field{field.String("id").StorageKey("number"), field.Int64("cents")}
}
