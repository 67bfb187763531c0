package clickid

// EventType is the type of an event. The constants are the documented types of
// both dialects. The platform may accept more: any name of 1 to 64 characters
// of [a-z0-9_] can be sent.
//
// If the dialects have different names for an event, either constant is sent
// under the name of the dialect.
//
// LogEvent accepts all of them. Scope3's ECAPI documents ten (Purchase,
// AddToCart, BeginCheckout, AddPaymentInfo, Lead, SignUp, CompleteRegistration,
// Subscribe, PageView and ViewContent) and refuses others, including Refund,
// with status 400. Other platforms of the IAB standard accept more.
type EventType string

// Event types of commerce.
const (
	Purchase       EventType = "purchase"
	Refund         EventType = "refund" // refused by Scope3's ECAPI
	AddToCart      EventType = "add_to_cart"
	RemoveFromCart EventType = "remove_from_cart"
	ViewedCart     EventType = "viewed_cart"
	AddToWishlist  EventType = "add_to_wishlist"
	BeginCheckout  EventType = "begin_checkout" // LogEvent: initiate_checkout
	AddPaymentInfo EventType = "add_payment_info"
	Donate         EventType = "donate"
)

// Event types of leads and subscriptions.
const (
	Lead                 EventType = "lead"
	QualifyLead          EventType = "qualify_lead"
	CloseConvertLead     EventType = "close_convert_lead"
	DisqualifyLead       EventType = "disqualify_lead"
	SignUp               EventType = "sign_up" // LogEvent: complete_registration
	CompleteRegistration EventType = "complete_registration"
	Subscribe            EventType = "subscribe"
	StartTrial           EventType = "start_trial"
	Contact              EventType = "contact"
	Schedule             EventType = "schedule"
	SubmitApplication    EventType = "submit_application"
)

// Event types of engagement.
const (
	PageView       EventType = "page_view"
	ViewContent    EventType = "view_content"
	ContentView    EventType = "content_view"
	SelectContent  EventType = "select_content"
	SelectItem     EventType = "select_item"
	Search         EventType = "search"
	Share          EventType = "share"
	Follow         EventType = "follow"
	WatchMilestone EventType = "watch_milestone" // needs the property progress_percent or progress_seconds
	Install        EventType = "install"         // LogEvent: app_install
	AppLaunch      EventType = "app_launch"
	Custom         EventType = "custom" // needs Event.CustomName
)

// EventTypes returns the documented types.
func EventTypes() []EventType {
	return []EventType{
		Purchase, Refund, AddToCart, RemoveFromCart, ViewedCart, AddToWishlist,
		BeginCheckout, AddPaymentInfo, Donate, Lead, QualifyLead, CloseConvertLead,
		DisqualifyLead, SignUp, CompleteRegistration, Subscribe, StartTrial, Contact,
		Schedule, SubmitApplication, PageView, ViewContent, ContentView, SelectContent,
		SelectItem, Search, Share, Follow, WatchMilestone, Install, AppLaunch, Custom,
	}
}

// Source is the place of an event. The constants are the documented values of
// both dialects. The platform may accept more.
type Source string

// Sources of events.
const (
	SourceWebsite           Source = "website"
	SourceApp               Source = "app"
	SourceInStore           Source = "in_store" // ECAPI: pos
	SourcePhoneCall         Source = "phone_call"
	SourceEmail             Source = "email"
	SourceChat              Source = "chat"
	SourceBusinessMessaging Source = "business_messaging" // LogEvent: chat
	SourceOffline           Source = "offline"            // ECAPI: other
	SourceSystemGenerated   Source = "system_generated"
	SourceOther             Source = "other"
)

// UserIDType is the type of an identity provider. The constants are the
// documented ones. The platform may accept more.
type UserIDType string

// Identity providers. ECAPI sends the first two under the names of its
// documentation, and the others only with IAB fields.
const (
	UserIDRampID           UserIDType = "rampid"
	UserIDID5              UserIDType = "id5"
	UserIDRampIDDerived    UserIDType = "rampid_derived"
	UserIDUID2             UserIDType = "uid2"
	UserIDEUID             UserIDType = "euid"
	UserIDPairID           UserIDType = "pairid"
	UserIDMAID             UserIDType = "maid"
	UserIDHashedEmail      UserIDType = "hashed_email"
	UserIDFirstParty       UserIDType = "publisher_first_party"
	UserIDWorldIDNullifier UserIDType = "world_id_nullifier"
	UserIDOther            UserIDType = "other"
)
