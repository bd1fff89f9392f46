"""Pictures of a product's or a user's neighbourhood."""
