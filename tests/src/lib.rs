//! posixage
