"""From views to text for terminals. Pure: a view, a width and the time give lines."""
