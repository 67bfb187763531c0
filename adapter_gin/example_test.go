package ginadapter_test

import (
	"log"
	"net/http"
	"time"

	"github.com/clickid/clickid"
	ginadapter "github.com/clickid/clickid/adapter_gin"
	"github.com/gin-gonic/gin"
)

// The middleware stores the click of a landing, and the handler of an order
// sends the conversion.
func ExampleMiddleware() {
	var tracker *clickid.Tracker // of clickid.New
	var sender clickid.Sender    // a client or an outbox

	router := gin.New()
	router.Use(gin.Recovery(), ginadapter.Middleware(tracker))
	router.POST("/orders", func(c *gin.Context) {
		_, err := clickid.Convert(c.Request.Context(), sender, clickid.Event{
			Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		})
		if err != nil {
			log.Print(err) // the order is still valid
		}
		c.Status(http.StatusCreated)
	})
	router.POST("/consent", func(c *gin.Context) {
		// The banner posts from the landing page, whose URL has the click.
		if _, err := tracker.Remember(c.Writer, c.Request, ""); err != nil {
			log.Print(err)
		}
		c.Status(http.StatusNoContent)
	})
	log.Fatal(router.Run(":8080"))
}
