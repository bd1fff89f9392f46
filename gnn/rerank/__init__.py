"""Re-ranking: from a user's best candidates to the list that is shown; beyond accuracy, and within the shop's rules."""
