"""What people look at: terminal tables, progress, charts and the HTML report; handed records, it draws them."""
