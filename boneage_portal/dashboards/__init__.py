"""What platform staff and hospitals' administrators see of the work: aggregates with links to the rows behind them."""
