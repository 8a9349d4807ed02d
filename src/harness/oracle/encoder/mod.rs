//! What an encoder must give: its forward pass in plain tensor operations.
