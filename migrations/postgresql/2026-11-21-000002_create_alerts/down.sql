DROP TABLE suppressed;
DROP TABLE alert_history;
DROP TABLE alert_subjects;
DROP TABLE alerts;
