"""A directory looked at before a build: what would become of it, and a draft of its mapping."""
