"""The only writers: each public function is one operation."""
