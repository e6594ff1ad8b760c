"""APScheduler over the jobs table: due times that survive crashes, restarts and stepped clocks."""
