"""A daemon that gives each guest of a rental a PIN for exactly their doors and their stay."""
