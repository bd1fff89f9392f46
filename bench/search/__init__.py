"""Quality and speed of search, with relevance that nobody made up."""
