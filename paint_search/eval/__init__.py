"""Arrays and labels in; numbers and tables out. Imports nothing of the package but its errors."""
