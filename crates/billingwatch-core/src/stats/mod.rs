//! Small exact tests: how surprising is what was seen?
