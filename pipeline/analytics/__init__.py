"""What tracks mean: lines crossed, zones entered, dwelling, speed, crowds."""
