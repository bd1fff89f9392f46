"""What a build adds to users and products: inferred brands and categories, and labels."""
