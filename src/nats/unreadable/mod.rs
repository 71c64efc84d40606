//! Messages that the client cannot parse, so that each delivery cuts the connection: [`cuts`]
//! detects that there may be one, [`one_by_one`] reads past it, [`headers`] finds out what is wrong
//! with it.

pub(crate) mod cuts;
pub(crate) mod headers;
pub(crate) mod one_by_one;
