//! Privileges: who may use the extension's objects, and what code of others may do in its name.

mod attacks;
mod grants;
mod operator;
mod replay;
