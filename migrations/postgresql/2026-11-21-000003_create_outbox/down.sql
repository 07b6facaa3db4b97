DROP TABLE channels;
DROP TABLE delivery_attempts;
DROP TABLE deliveries;
