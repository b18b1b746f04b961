"""Where sentences and documents run, and what makes runs resumable: threads, Ray, journal and reply cache."""
