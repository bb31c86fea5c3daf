"""Several configurations on the same cases: tables, gates, pictures of what came out."""
