package storetest

var tableTests, walkTests, actTests, togetherTests []test
