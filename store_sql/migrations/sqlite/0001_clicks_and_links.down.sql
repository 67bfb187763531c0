DROP TABLE IF EXISTS clickid_links;

DROP TABLE IF EXISTS clickid_clicks;
