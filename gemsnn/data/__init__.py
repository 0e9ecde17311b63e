"""From event files to presentations."""
