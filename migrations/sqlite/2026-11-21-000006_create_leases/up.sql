-- Who may do what only one process at a time may. `token` grows with each change of holder: work
-- done under an older one is refused.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
