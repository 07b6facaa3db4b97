"""What the end-to-end tests stand on: the server under test and the outside world around it."""
