"""What a person looks at: pages, tables, previews."""
