"""The search for better settings: spaces, studies that can be resumed, and what they found."""
