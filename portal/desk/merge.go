package desk

// mostMerged bounds how many tickets lead one into another.
const mostMerged = 20
