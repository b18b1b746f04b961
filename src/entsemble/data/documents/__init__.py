"""Documents as people write them (PDF, Word, OpenDocument, web pages, e-mail), as text: needs an extra."""
