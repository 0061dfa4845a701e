"""What people do about alerts and readings: acknowledge, shelve, withdraw, raise by hand, correct."""
