"""What people, the demo and tests start: private servers, the supervisor, station sheets and the commands."""
