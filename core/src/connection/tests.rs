//! Tests of the connection: one file asks what each requirement says, one shows the whole matrix, one
//! tries everything in any order.

mod matrix;
mod properties;
mod requirements;
mod rig;
