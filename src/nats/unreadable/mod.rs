//! Messages that the client cannot read, and that cut the connection each time they are delivered:
//! [`cuts`] suspects them, [`one_by_one`] reads around them, [`headers`] says what is wrong with
//! one.

pub(crate) mod cuts;
pub(crate) mod headers;
pub(crate) mod one_by_one;
