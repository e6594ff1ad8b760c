"""The admin's page: HTML made here, readable without JavaScript, acts as forms."""
