DROP TABLE tokens;
DROP TABLE settings_overrides;
