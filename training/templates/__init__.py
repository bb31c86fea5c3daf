"""CT painted from anatomy label maps: a map becomes a template, a template and a seed become a patient."""
